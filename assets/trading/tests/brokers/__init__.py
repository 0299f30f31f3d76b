"""What every broker must do, and what each does in its own way."""
