"""Hostile clients in the sizes of an ordinary check; tests/torture/hostile.py does the same at full size."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "torture"))
import hostile  # noqa: E402


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.target = hostile.Target()

    @classmethod
    def tearDownClass(cls):
        assert cls.target.house.stop() == 0, cls.target.house.tail()


def one(attack):
    return lambda self: hostile.run(self.target, attack, hostile.SHORT)


for attack in hostile.ATTACKS:
    setattr(Hostile, "test_" + attack.__name__, one(attack))


if __name__ == "__main__":
    unittest.main()
