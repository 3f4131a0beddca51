"""How near the kernels come to what the machine allows: work counted by formula, limits measured."""
