"""Small experiments for teaching: each shows one effect by itself, on the same kernels that train networks."""

from tilewright.lessons.coincidences import coincidences as coincidences
from tilewright.lessons.coincidences import pulse_probabilities as pulse_probabilities
from tilewright.lessons.one_weight import balance_of_sgd as balance_of_sgd
from tilewright.lessons.one_weight import learn_one_weight as learn_one_weight
