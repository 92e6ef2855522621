"""The owner's works: reading them safely in a child process and dividing them into training and evaluation texts."""
