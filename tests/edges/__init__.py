"""The tests of the edges: what log, database and commands do where somebody changed things by hand, or lost them."""
