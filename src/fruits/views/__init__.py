"""What people look at; reads tables and runs, never writes a table."""
