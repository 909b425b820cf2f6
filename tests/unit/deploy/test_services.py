import pytest

from pmpctl.cloud.services import _gib


@pytest.mark.parametrize(
    ("limit", "gib"),
    [
        ("512Mi", 0.5),
        ("2Gi", 2),
        ("2048Ki", 2 / 1024),
        ("1G", 1e9 / 1024**3),
        ("500k", 5e5 / 1024**3),
        ("1073741824", 1),
    ],
)
def test_a_quantity_of_memory_is_read_as_kubernetes_spells_it(limit, gib):
    assert _gib(limit) == gib
