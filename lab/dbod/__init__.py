"""Database on Demand: its operations as one contract, three ways to provide them, and the evaluation of each."""
