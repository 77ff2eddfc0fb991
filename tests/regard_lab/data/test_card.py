"""Cards: complete, and pinned where a package is the source."""

import pytest

from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.sets import cifar10, fashion_mnist


def test_every_card_is_complete():
    assert {"imdb", "mnist"} <= set(data.names())
    for name in data.names():
        card = data.card(name)
        assert card.name == name
        assert [s.name for s in card.sources] == sorted(
            (s.name for s in card.sources), key=["package", "hub", "folder"].index
        )
        assert all((card.title, card.licence, card.citation, card.homepage, card.sizes))
        if card.sources[0].name == "package":
            assert len(card.source("package").sha256) == 64
            assert all(len(package.sha256) == 64 for package in card.packages)


def test_an_unknown_set_or_source_names_what_there_is(root):
    with pytest.raises(UserError, match=r"unknown data set 'imbd'; there are .*imdb.*Did you mean 'imdb'"):
        data.load("imbd", root)
    with pytest.raises(UserError, match="imdb has no source 'web'; it has package, hub, folder"):
        data.prepare("imdb", root, source="web")


def test_the_packages_are_pinned():
    assert fashion_mnist.CARD.packages[0].registry == "debian"
    for module in (fashion_mnist, cifar10):
        package = module.CARD.packages[0]
        assert len(package.sha256) == 64
        assert package.version
