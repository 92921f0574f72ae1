"""The odd, prime, skinny and rectangular products that networks ask for: a fixed list of 200.

Square powers of two are what libraries are tuned on; these are what models do.  The list does not change, so that
ratios over it can be compared between versions.

Examples
--------
>>> from mlopt.targets.shapes import SHAPES
>>> len(SHAPES), SHAPES[0]
(200, Shape(m=64, n=12544, k=147, layout='nn', source='ResNet-50 conv1 7×7'))
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlopt.targets.memory import aligned

LAYOUTS = ("nn", "nt", "tn", "tt")


class Shape(NamedTuple):
    """A product of m × k by k × n, how its operands lie, and where it comes from.

    `layout` has a letter for each operand: ``n`` where its rows lie one after another, ``t`` where its columns do
    and it is used as the transpose of an array.
    """

    m: int
    n: int
    k: int
    layout: str
    source: str

    @property
    def flops(self) -> float:
        """Multiplications and additions of one product."""
        return 2.0 * self.m * self.n * self.k

    def __str__(self) -> str:
        return f"{self.m}×{self.n}×{self.k} {self.layout}"


def operands(m: int, n: int, k: int, layout: str, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The operands, aligned and filled with numbers in (-1, 1), and an array for the product.

    Examples
    --------
    >>> from mlopt.targets.shapes import operands
    >>> a, b, c = operands(2, 3, 4, "nt", "float32")
    >>> a.shape, b.shape, c.shape, b.T.flags.c_contiguous
    ((2, 4), (4, 3), (2, 3), True)
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout={layout!r} is not a layout; one of: {', '.join(LAYOUTS)}")
    pair = []
    for place, (letter, shape) in enumerate(zip(layout, ((m, k), (k, n)), strict=True)):
        array = aligned(shape if letter == "n" else shape[::-1], dtype, place=place)
        flat = array.reshape(-1)
        random = np.random.default_rng(place).uniform(-1, 1, min(flat.size, 1 << 20))
        for start in range(0, flat.size, random.size):  # large ones repeat: values do not change what a product costs
            flat[start : start + random.size] = random[: flat.size - start]
        pair.append(array if letter == "n" else array.T)
    return pair[0], pair[1], aligned((m, n), dtype, place=2)


SHAPES = (
    # Convolutions as products of the weights (channels out × patch) with the unrolled image (patch × pixels)
    Shape(64, 12544, 147, "nn", "ResNet-50 conv1 7×7"),
    Shape(64, 3136, 64, "nn", "ResNet-50 stage 2, 1×1 in"),
    Shape(64, 3136, 576, "nn", "ResNet-50 stage 2, 3×3"),
    Shape(256, 3136, 64, "nn", "ResNet-50 stage 2, 1×1 out"),
    Shape(64, 3136, 256, "nn", "ResNet-50 stage 2, 1×1 in of a later block"),
    Shape(128, 784, 512, "nn", "ResNet-50 stage 3, 1×1 in"),
    Shape(128, 784, 1152, "nn", "ResNet-50 stage 3, 3×3"),
    Shape(512, 784, 128, "nn", "ResNet-50 stage 3, 1×1 out"),
    Shape(512, 784, 256, "nn", "ResNet-50 stage 3, shortcut"),
    Shape(256, 196, 1024, "nn", "ResNet-50 stage 4, 1×1 in"),
    Shape(256, 196, 2304, "nn", "ResNet-50 stage 4, 3×3"),
    Shape(1024, 196, 256, "nn", "ResNet-50 stage 4, 1×1 out"),
    Shape(1024, 196, 512, "nn", "ResNet-50 stage 4, shortcut"),
    Shape(512, 49, 2048, "nn", "ResNet-50 stage 5, 1×1 in"),
    Shape(512, 49, 4608, "nn", "ResNet-50 stage 5, 3×3"),
    Shape(2048, 49, 512, "nn", "ResNet-50 stage 5, 1×1 out"),
    Shape(2048, 49, 1024, "nn", "ResNet-50 stage 5, shortcut"),
    Shape(1, 1000, 2048, "nt", "ResNet-50 classifier, one image"),
    Shape(32, 1000, 2048, "nt", "ResNet-50 classifier, 32 images"),
    Shape(49, 512, 4608, "nn", "ResNet-50 stage 5, 3×3, channels last"),
    Shape(784, 128, 1152, "nn", "ResNet-50 stage 3, 3×3, channels last"),
    Shape(3136, 64, 576, "nn", "ResNet-50 stage 2, 3×3, channels last"),
    Shape(64, 576, 3136, "nt", "ResNet-50 stage 2, 3×3, gradient of the weights"),
    Shape(512, 4608, 49, "nt", "ResNet-50 stage 5, 3×3, gradient of the weights"),
    Shape(2304, 196, 256, "tn", "ResNet-50 stage 4, 3×3, gradient of the patches"),
    Shape(64, 12544, 576, "nn", "VGG-16 conv1_2, a quarter of the image"),
    Shape(512, 196, 4608, "nn", "VGG-16 conv5"),
    Shape(1, 4096, 25088, "nt", "VGG-16 first dense layer, one image"),
    Shape(96, 3025, 363, "nn", "AlexNet conv1 11×11"),
    # Pointwise convolutions of MobileNet
    Shape(64, 12544, 32, "nn", "MobileNet v1 pointwise 1"),
    Shape(128, 3136, 64, "nn", "MobileNet v1 pointwise 2"),
    Shape(128, 3136, 128, "nn", "MobileNet v1 pointwise 3"),
    Shape(256, 784, 128, "nn", "MobileNet v1 pointwise 4"),
    Shape(256, 784, 256, "nn", "MobileNet v1 pointwise 5"),
    Shape(512, 196, 256, "nn", "MobileNet v1 pointwise 6"),
    Shape(512, 196, 512, "nn", "MobileNet v1 pointwise 7 to 11"),
    Shape(1024, 49, 512, "nn", "MobileNet v1 pointwise 12"),
    Shape(1024, 49, 1024, "nn", "MobileNet v1 pointwise 13"),
    Shape(1, 1000, 1024, "nt", "MobileNet v1 classifier"),
    Shape(96, 12544, 16, "nn", "MobileNet v2 block 2, expansion"),
    Shape(24, 3136, 96, "nn", "MobileNet v2 block 2, projection"),
    Shape(144, 3136, 24, "nn", "MobileNet v2 block 3, expansion"),
    Shape(32, 784, 144, "nn", "MobileNet v2 block 4, projection"),
    Shape(192, 784, 32, "nn", "MobileNet v2 block 5, expansion"),
    Shape(64, 196, 192, "nn", "MobileNet v2 block 7, projection"),
    Shape(384, 196, 64, "nn", "MobileNet v2 block 8, expansion"),
    Shape(96, 196, 384, "nn", "MobileNet v2 block 11, projection"),
    Shape(160, 49, 576, "nn", "MobileNet v2 block 14, projection"),
    Shape(960, 49, 160, "nn", "MobileNet v2 block 15, expansion"),
    Shape(320, 49, 960, "nn", "MobileNet v2 block 17, projection"),
    Shape(1280, 49, 320, "nn", "MobileNet v2 last convolution"),
    # BERT: tokens × features with weights kept as (out, in)
    Shape(1, 768, 768, "nt", "BERT-base pooler, one sentence"),
    Shape(7, 768, 768, "nt", "BERT-base projection, 7 tokens"),
    Shape(32, 768, 768, "nt", "BERT-base projection, 32 tokens"),
    Shape(128, 768, 768, "nt", "BERT-base projection, 128 tokens"),
    Shape(384, 768, 768, "nt", "BERT-base projection, 384 tokens"),
    Shape(128, 3072, 768, "nt", "BERT-base feed-forward in, 128 tokens"),
    Shape(128, 768, 3072, "nt", "BERT-base feed-forward out, 128 tokens"),
    Shape(384, 768, 3072, "nt", "BERT-base feed-forward out, 384 tokens"),
    Shape(19, 30522, 768, "nt", "BERT-base vocabulary, 19 masked tokens"),
    Shape(8, 2, 768, "nt", "BERT-base sentence classifier, 8 sentences"),
    Shape(128, 128, 64, "nt", "BERT-base QK^T of a head, 128 tokens"),
    Shape(128, 64, 128, "nn", "BERT-base PV of a head, 128 tokens"),
    Shape(384, 384, 64, "nt", "BERT-base QK^T of a head, 384 tokens"),
    Shape(384, 64, 384, "nn", "BERT-base PV of a head, 384 tokens"),
    Shape(768, 768, 128, "tn", "BERT-base projection, gradient of the weights"),
    Shape(3072, 768, 128, "tn", "BERT-base feed-forward in, gradient of the weights"),
    Shape(128, 768, 3072, "nn", "BERT-base feed-forward in, gradient of the input"),
    Shape(128, 1024, 1024, "nt", "BERT-large projection, 128 tokens"),
    Shape(384, 1024, 1024, "nt", "BERT-large projection, 384 tokens"),
    Shape(128, 4096, 1024, "nt", "BERT-large feed-forward in, 128 tokens"),
    Shape(128, 1024, 4096, "nt", "BERT-large feed-forward out, 128 tokens"),
    Shape(384, 4096, 1024, "nt", "BERT-large feed-forward in, 384 tokens"),
    Shape(1024, 4096, 384, "tn", "BERT-large feed-forward out, gradient of the weights"),
    Shape(197, 768, 768, "nt", "ViT-B/16 projection, 196 patches and a class"),
    Shape(197, 3072, 768, "nt", "ViT-B/16 feed-forward in"),
    Shape(197, 197, 64, "nt", "ViT-B/16 QK^T of a head"),
    Shape(197, 64, 197, "nn", "ViT-B/16 PV of a head"),
    Shape(1500, 384, 384, "nt", "Whisper-tiny projection, 30 s of sound"),
    Shape(1500, 1500, 64, "nt", "Whisper-tiny QK^T of a head"),
    # GPT-2: weights kept as (in, out)
    Shape(1, 2304, 768, "nn", "GPT-2 QKV, one token"),
    Shape(64, 2304, 768, "nn", "GPT-2 QKV, 64 tokens"),
    Shape(64, 768, 768, "nn", "GPT-2 projection, 64 tokens"),
    Shape(1, 3072, 768, "nn", "GPT-2 feed-forward in, one token"),
    Shape(1, 768, 3072, "nn", "GPT-2 feed-forward out, one token"),
    Shape(128, 3072, 768, "nn", "GPT-2 feed-forward in, 128 tokens"),
    Shape(1, 50257, 768, "nt", "GPT-2 vocabulary, one token"),
    Shape(11, 50257, 768, "nt", "GPT-2 vocabulary, 11 tokens"),
    Shape(1, 77, 64, "nt", "GPT-2 QK^T of a head, token 77"),
    Shape(1, 64, 77, "nn", "GPT-2 PV of a head, token 77"),
    Shape(1024, 1024, 64, "nt", "GPT-2 QK^T of a head, 1024 tokens"),
    Shape(1024, 64, 1024, "nn", "GPT-2 PV of a head, 1024 tokens"),
    Shape(1, 4800, 1600, "nn", "GPT-2 XL QKV, one token"),
    Shape(10, 4800, 1600, "nn", "GPT-2 XL QKV, 10 tokens"),
    Shape(100, 6400, 1600, "nn", "GPT-2 XL feed-forward in, 100 tokens"),
    # Llama 2 and 3: tokens × features with weights kept as (out, in)
    Shape(1, 4096, 4096, "nt", "Llama-2 7B projection, one token"),
    Shape(3, 4096, 4096, "nt", "Llama-2 7B projection, 3 tokens"),
    Shape(4, 4096, 4096, "nt", "Llama-2 7B projection, 4 tokens"),
    Shape(16, 4096, 4096, "nt", "Llama-2 7B projection, 16 tokens"),
    Shape(64, 4096, 4096, "nt", "Llama-2 7B projection, 64 tokens"),
    Shape(128, 4096, 4096, "nt", "Llama-2 7B projection, 128 tokens"),
    Shape(512, 128, 4096, "nt", "Llama-2 7B projection to one head, 512 tokens"),
    Shape(1, 11008, 4096, "nt", "Llama-2 7B feed-forward in, one token"),
    Shape(8, 11008, 4096, "nt", "Llama-2 7B feed-forward in, 8 tokens"),
    Shape(32, 11008, 4096, "nt", "Llama-2 7B feed-forward in, 32 tokens"),
    Shape(1, 4096, 11008, "nt", "Llama-2 7B feed-forward out, one token"),
    Shape(17, 4096, 11008, "nt", "Llama-2 7B feed-forward out, 17 tokens"),
    Shape(512, 512, 128, "nt", "Llama-2 7B QK^T of a head, 512 tokens"),
    Shape(512, 128, 512, "nn", "Llama-2 7B PV of a head, 512 tokens"),
    Shape(1, 2048, 128, "nt", "Llama-2 7B QK^T of a head, token 2048"),
    Shape(1, 128, 2048, "nn", "Llama-2 7B PV of a head, token 2048"),
    Shape(1, 5120, 5120, "nt", "Llama-2 13B projection, one token"),
    Shape(7, 5120, 5120, "nt", "Llama-2 13B projection, 7 tokens"),
    Shape(2, 13824, 5120, "nt", "Llama-2 13B feed-forward in, 2 tokens"),
    Shape(13, 5120, 13824, "nt", "Llama-2 13B feed-forward out, 13 tokens"),
    Shape(1, 1024, 4096, "nt", "Llama-3 8B keys, one token"),
    Shape(256, 1024, 4096, "nt", "Llama-3 8B keys, 256 tokens"),
    # Recommendation: dense layers, interactions, embeddings
    Shape(128, 512, 13, "nt", "DLRM bottom layer 1, 128 samples"),
    Shape(2048, 512, 13, "nt", "DLRM bottom layer 1, 2048 samples"),
    Shape(2048, 256, 512, "nt", "DLRM bottom layer 2, 2048 samples"),
    Shape(2048, 64, 256, "nt", "DLRM bottom layer 3, 2048 samples"),
    Shape(27, 27, 64, "nt", "DLRM interaction of one sample"),
    Shape(128, 512, 479, "nt", "DLRM top layer 1, 128 samples"),
    Shape(2048, 1, 256, "nt", "DLRM top, last layer, 2048 samples"),
    Shape(512, 479, 2048, "tn", "DLRM top layer 1, gradient of the weights"),
    Shape(100, 1024, 429, "nn", "Wide & Deep layer 1, 100 samples"),
    Shape(100, 512, 1024, "nn", "Wide & Deep layer 2, 100 samples"),
    Shape(256, 128, 64, "nt", "neural collaborative filtering layer 2, 256 pairs"),
    Shape(1, 100003, 64, "nt", "retrieval: one query over 100 003 items"),
    Shape(32, 10007, 128, "nt", "retrieval: 32 queries over 10 007 items"),
    Shape(943, 1682, 20, "nt", "MovieLens 100K: every user with every film, rank 20"),
    Shape(20, 20, 943, "tn", "alternating least squares, rank 20"),
    Shape(1, 6, 300, "nt", "word2vec: a word, 1 + 5 negatives"),
    Shape(113, 127, 512, "nt", "CLIP: 113 images with 127 captions"),
    Shape(9973, 17, 31, "nt", "k-means: 9973 points, 17 centres"),
    Shape(211, 10007, 24, "nt", "nearest neighbours: 211 points over 10 007"),
    # Recurrent networks: the gates
    Shape(64, 512, 100, "nt", "LSTM 128: gates of the input, 64 samples"),
    Shape(64, 512, 128, "nt", "LSTM 128: gates of the state, 64 samples"),
    Shape(3840, 512, 100, "nt", "LSTM 128: gates of the input, 60 steps at once"),
    Shape(512, 100, 3840, "tn", "LSTM 128: gradient of the input's weights"),
    Shape(512, 128, 64, "tn", "LSTM 128: gradient of the state's weights, a step"),
    Shape(1, 512, 128, "nt", "LSTM 128: gates of the state, one sample"),
    Shape(64, 128, 512, "nn", "LSTM 128: gradient of the state"),
    Shape(1, 4096, 1024, "nt", "LSTM 1024: gates, one sample"),
    Shape(32, 4096, 1024, "nt", "LSTM 1024: gates, 32 samples"),
    Shape(20, 2600, 650, "nt", "PTB medium LSTM 650: gates, 20 samples"),
    Shape(20, 6000, 1500, "nt", "PTB large LSTM 1500: gates, 20 samples"),
    Shape(35, 10000, 650, "nt", "PTB medium vocabulary, 35 steps"),
    Shape(20, 1536, 512, "nt", "GRU 512: gates, 20 samples"),
    Shape(1, 768, 256, "nt", "GRU 256: gates, one sample"),
    # Small dense networks: digits and tables
    Shape(1, 50, 100, "nn", "MLP 100-50-10 layer 1, one sample"),
    Shape(1, 10, 50, "nn", "MLP 100-50-10 layer 2, one sample"),
    Shape(200, 100, 784, "nn", "MNIST in scikit-learn layer 1, 200 samples"),
    Shape(200, 10, 100, "nn", "MNIST in scikit-learn layer 2, 200 samples"),
    Shape(784, 100, 200, "tn", "MNIST in scikit-learn, gradient of layer 1"),
    Shape(200, 784, 100, "nt", "MNIST autoencoder 784-100, gradient of the input"),
    Shape(128, 512, 784, "nt", "MNIST MLP 512 layer 1, 128 samples"),
    Shape(128, 10, 512, "nt", "MNIST MLP 512 last layer, 128 samples"),
    Shape(1024, 256, 100, "nn", "MLP 100-256 layer 1, 1024 samples"),
    Shape(1024, 256, 256, "nn", "MLP 256-256, 1024 samples"),
    Shape(1024, 10, 256, "nn", "MLP 256-10, 1024 samples"),
    Shape(256, 256, 1024, "tn", "MLP 256-256, gradient of the weights"),
    Shape(1024, 256, 10, "nt", "MLP 256-10, gradient of the input"),
    Shape(150, 10, 4, "nn", "iris, layer 1"),
    Shape(150, 3, 10, "nn", "iris, layer 2"),
    Shape(20640, 64, 8, "nn", "California housing, layer 1"),
    Shape(48842, 32, 14, "nn", "census income, layer 1"),
    Shape(178, 13, 13, "nn", "wine, whitening"),
    # Statistics: Gram matrices, regressions, projections
    Shape(64, 64, 100003, "tn", "Gram matrix of 64 features, 100 003 rows"),
    Shape(10, 10, 99991, "tn", "Gram matrix of 10 features, 99 991 rows"),
    Shape(8, 8, 20640, "tn", "California housing, Gram matrix"),
    Shape(101, 101, 10007, "tn", "Gram matrix of 101 features, 10 007 rows"),
    Shape(505, 505, 2520, "tn", "S&P 500: covariance of ten years' daily returns"),
    Shape(505, 505, 251, "tn", "S&P 500: covariance of a year's daily returns"),
    Shape(505, 1, 2520, "tn", "S&P 500: regression on the market"),
    Shape(30, 30, 569, "tn", "breast cancer, Gram matrix"),
    Shape(54, 54, 50021, "tn", "forest cover, Gram matrix, 50 021 rows"),
    Shape(569, 2, 30, "nn", "breast cancer, two principal components"),
    Shape(10007, 16, 101, "nn", "projection on 16 components"),
    Shape(2708, 16, 1433, "nn", "Cora graph network, layer 1"),
    # Odd and prime sizes
    Shape(3, 5, 7, "nn", "prime"),
    Shape(7, 11, 13, "nn", "prime"),
    Shape(17, 19, 23, "nt", "prime"),
    Shape(31, 37, 41, "nn", "prime"),
    Shape(67, 61, 71, "tn", "prime"),
    Shape(100, 101, 103, "tt", "three in a row"),
    Shape(127, 127, 127, "nn", "prime square"),
    Shape(131, 131, 131, "tn", "prime square"),
    Shape(251, 263, 1009, "tt", "prime"),
    Shape(257, 257, 257, "nn", "prime square"),
    Shape(509, 521, 503, "nt", "prime"),
    Shape(511, 513, 515, "tt", "around a power of two"),
    Shape(997, 1009, 1013, "nn", "prime"),
    Shape(1021, 1021, 1021, "nn", "prime square"),
    Shape(3, 10007, 3, "nn", "3 rows"),
    Shape(10007, 3, 3, "nn", "3 columns"),
    Shape(1999, 2003, 17, "nn", "short sum"),
    Shape(17, 1999, 2003, "nn", "few rows"),
    Shape(1999, 17, 2003, "nn", "few columns"),
    Shape(7, 7, 100003, "nt", "long sum"),
)
