"""Texts as a sparse matrix: which are alike, and how far a few singular vectors are from all the words."""

import re
import sysconfig
from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import mlopt
from mlopt.linalg import randomized_svd
from mlopt.sparse import csr_array

# the modules of Python's own library are the texts
files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
counts = [Counter(re.findall(r"[a-z]{3,}", path.read_text("utf-8", "replace").lower())) for path in files]
words = sorted(set().union(*counts))
place = {word: number for number, word in enumerate(words)}

# a row a text: frequent words weigh more, words of many texts less; rows of length 1
row = np.repeat(np.arange(len(files)), [len(count) for count in counts])
column = np.array([place[word] for count in counts for word in count])
frequency = np.array([number for count in counts for number in count.values()], float)
weight = np.log1p(frequency) * np.log(len(files) / np.bincount(column))[column]
weight /= np.sqrt(np.bincount(row, weight**2))[row]
a = csr_array.from_coo(weight, row, column, (len(files), len(words))).eliminate_zeros()
print(f"{a.shape[0]} texts, {a.shape[1]} words, {a.nnz} elements: a density of {a.density:.1%}")

# the cosine of every text with one of them: a product with a vector
one = next(number for number, path in enumerate(files) if path.stem == "random")
cosine = a @ a[one].toarray()[0]
print("most like random.py: ", *(files[k].name for k in np.argsort(-cosine)[1:5]))

# of all pairs: a sparse product, whose eigenvalues are the squares of all singular values
gram = (a @ a.T).toarray()
exact = np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0))

# the error with so many singular vectors: the best there is, what was reached, what is certified
ranks, errors, bounds = [2, 5, 10, 20, 40, 80], [], []
dense = a.toarray()
print(f"{'rank':>6}{'smallest error':>16}{'error':>10}{'bound':>10}")
for rank in ranks:
    U, S, Vh, bound = randomized_svd(a, rank, rng=0)
    left = dense - mlopt.matmul(U * S, Vh)
    errors.append(float(np.sqrt(np.linalg.eigvalsh(mlopt.matmul(left, left.T))[-1])))
    bounds.append(bound)
    print(f"{rank:>6}{exact[rank]:>16.4f}{errors[-1]:>10.4f}{bound:>10.4f}")

# texts by 20 topics: neighbours that share few words, but words with the same neighbours
model = mlopt.TruncatedSVD(n_components=20, random_state=0)
topics = model.fit_transform(a.to_scipy())
topics /= np.linalg.norm(topics, axis=1, keepdims=True)
print("by 20 topics:        ", *(files[k].name for k in np.argsort(-topics @ topics[one])[1:5]))

figure = Figure(figsize=(6.4, 3.6), layout="constrained")
axes = figure.subplots()
axes.semilogx(np.arange(1, exact.size), exact[1:], color="0.6", label="smallest error: the next singular value")
axes.semilogx(ranks, errors, "o", label="error of randomized_svd")
axes.semilogx(ranks, bounds, "_", markersize=14, label="error_bound")
axes.set(xlabel="rank", ylabel="spectral norm of the error", xlim=(1, exact.size))
axes.legend()
figure.savefig("text_topics.svg", metadata={"Date": None})
