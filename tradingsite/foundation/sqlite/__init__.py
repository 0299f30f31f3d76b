"""Django's SQLite backend, with writers that wait in short steps."""
