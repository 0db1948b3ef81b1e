"""The database: connections, the SQLSTATE table, named statements, migrations. Alone names psycopg."""
