"""A workflow type whose run does nothing: what remains is the time it takes to start one."""
