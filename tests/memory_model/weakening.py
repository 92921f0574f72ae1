"""What a model is tried with: itself, and itself with one ordering weakened or one step left out."""

from .operations import acq_rel, acquire, heavy, light, relaxed, release, seq_cst

WEAKER = {
    relaxed: (),
    acquire: (relaxed,),
    release: (relaxed,),
    acq_rel: (release, acquire),
    seq_cst: (acq_rel,),
    light: (acq_rel,),
    heavy: (seq_cst,),
}
REMOVED = "removed"


class Orders:
    """The memory orders of a model, by the place where the C code names them, of which some may be weakened.

    A model asks ``orders("push: swap", release)`` where the C code has ``memory_order_release``, and
    ``orders.keeps("tag")`` whether to do a step.
    """

    def __init__(self, *weakened):
        self.weakened = dict(weakened)
        self.possible = {}  # (place, what it may become): None

    def __call__(self, place, order, *others):
        for weaker in (*WEAKER[order], *others):
            self.possible[place, weaker] = None
        return self.weakened.get(place, order)

    def keeps(self, place):
        self.possible[place, REMOVED] = None
        return place not in self.weakened
