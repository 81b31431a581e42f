"""The pages metrics.md and configuration.md, from the code: `python -m docs.generator` writes them.

A template holds what has to be said once; the tables are made here. What the code can't tell, such as an
example of each metric and of each key, stands in `metric_facts` and `config_facts`.
"""
