"""The only place that knows SQL: tables by role, repositories, migrations."""
