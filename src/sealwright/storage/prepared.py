"""Statements of the hot path: written as SQL once, their rows handed to the driver as they are.

SQLAlchemy's own way builds a dictionary and converts each value for every row: half the cost of a group commit.
Values must be what the driver takes unconverted: bytes, text, integers, None.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.dml import UpdateBase

Row = tuple[bytes | str | int | None, ...]


class Prepared:
    """One INSERT or UPDATE; rows are tuples in the order of `names`, its columns or bound parameters."""

    def __init__(self, dialect: Dialect, statement: UpdateBase, names: Sequence[str]) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=list(names))
        self._sql = str(compiled)
        self._names = tuple(names)
        # Where the driver counts parameters, the place of each in a row; None where it knows them by name.
        order: Sequence[str] | None = compiled.positiontup
        self._places = None if order is None else tuple(self._names.index(name) for name in order)
        self._as_given = self._places == tuple(range(len(self._names)))

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Carry it out once for each row, in the connection's transaction; nothing for no rows."""
        if not rows:
            return
        parameters: list[Any]
        if self._places is None:
            parameters = [dict(zip(self._names, row, strict=True)) for row in rows]
        elif self._as_given:
            parameters = list(rows)
        else:
            parameters = [tuple(row[place] for place in self._places) for row in rows]
        connection.exec_driver_sql(self._sql, parameters)
