"""`python -m vlreward`, as `torchrun -m vlreward` calls it."""

from vlreward.cli import main

main()
