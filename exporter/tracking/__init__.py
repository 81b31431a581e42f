"""What is known about the tasks, and what changed."""
