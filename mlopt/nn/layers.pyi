ACTIVATIONS: tuple[str, ...]
