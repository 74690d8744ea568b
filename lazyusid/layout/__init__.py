"""The maths of folding: pure functions of integers and small arrays; imports numpy alone."""
