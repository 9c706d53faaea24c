"""Hostile clients in the sizes of an ordinary check; tests/torture/hostile.py and hostile_access.py do the same at full size."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "torture"))
import hostile  # noqa: E402
import hostile_access  # noqa: E402


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.target = hostile.Target()

    @classmethod
    def tearDownClass(cls):
        assert cls.target.house.stop() == 0, cls.target.house.tail()


class HostileUsers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.target = hostile_access.Target()

    @classmethod
    def tearDownClass(cls):
        assert cls.target.house.stop() == 0, cls.target.house.tail()


def one(attack, size):
    def test(self):
        hostile.run(self.target, attack, size)
    return test


for attack in hostile.ATTACKS:
    setattr(Hostile, "test_" + attack.__name__, one(attack, hostile.SHORT))
for attack in (hostile_access.literal_bombs, hostile_access.deep_nesting):  # what is measured needs a build without sanitizers
    setattr(HostileUsers, "test_" + attack.__name__, one(attack, hostile_access.SHORT))


if __name__ == "__main__":
    unittest.main()
