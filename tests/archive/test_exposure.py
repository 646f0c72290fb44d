"""What a demand obtains is told by the classes of columns, so every column has one."""

from archive.exposure import columns_without_class


def test_every_column_says_who_could_read_it() -> None:
    assert columns_without_class() == []
