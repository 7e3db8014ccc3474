"""What is made of what, what is current, where it lies and what it costs."""
