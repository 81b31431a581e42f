"""What is known, in a terminal: a live table of the tasks, and a bar that waits for one of them."""
