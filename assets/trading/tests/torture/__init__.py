"""Orders under torture: a faulty venue on loopback, processes killed at random, and a checker that compares both books.

python -m assets.trading.tests.torture --intents 10000 --kills 1000 --seed 1
"""
