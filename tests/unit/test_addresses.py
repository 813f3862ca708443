"""Every kind of source has one address, and a mirror can stand in for it."""

import pytest

from layerscope.errors import ConfigError
from layerscope.sources.addresses import address, mirrored, read_mirror

S3 = "s3://genome-scale-tcell-perturb-seq/marson2025_data/D1_Rest.assigned_guide.h5ad"


@pytest.mark.parametrize(
    ("source", "url", "name"),
    [
        (
            {"geo": {"accession": "GSE276896", "file": "GSE276896_adata_meta.h5ad"}},
            "https://ftp.ncbi.nlm.nih.gov/geo/series/GSE276nnn/GSE276896/suppl/GSE276896_adata_meta.h5ad",
            "GSE276896_adata_meta.h5ad",
        ),
        (
            {"geo": {"accession": "gsm12", "file": "a b.txt.gz"}},
            "https://ftp.ncbi.nlm.nih.gov/geo/samples/GSMnnn/GSM12/suppl/a%20b.txt.gz",
            "a b.txt.gz",
        ),
        (
            {"huggingface": {"repo": "genbio-ai/scFoundation", "revision": "main", "file": "x/models.ckpt"}},
            "https://huggingface.co/genbio-ai/scFoundation/resolve/main/x/models.ckpt",
            "models.ckpt",
        ),
        ({"url": "https://host/a.h5ad?x=1"}, "https://host/a.h5ad?x=1", "a.h5ad"),
        (
            {"url": S3},
            "https://genome-scale-tcell-perturb-seq.s3.amazonaws.com/marson2025_data/D1_Rest.assigned_guide.h5ad",
            "D1_Rest.assigned_guide.h5ad",
        ),
        ({"url": "s3://my.bucket/k"}, "https://s3.amazonaws.com/my.bucket/k", "k"),
    ],
)
def test_sources_have_addresses(source, url, name):
    found = address(source)
    assert (found.url, found.fetched_from, found.name) == (url, url, name)


def test_a_mirror_takes_host_and_path():
    found = address({"url": S3}, "http://127.0.0.1:80/mirror/")
    assert found.url.startswith("https://genome-scale")
    assert found.fetched_from == (
        "http://127.0.0.1:80/mirror/genome-scale-tcell-perturb-seq.s3.amazonaws.com/marson2025_data/"
        "D1_Rest.assigned_guide.h5ad"
    )


def test_the_longest_prefix_is_replaced():
    through = {
        "https://": "http://m/",
        "https://huggingface.co/": "http://hf/",
        "s3://": "http://127.0.0.1:5000/",
    }
    assert mirrored("https://huggingface.co/r/f", through) == "http://hf/r/f"
    assert mirrored("https://host/f", through) == "http://m/host/f"
    assert mirrored("s3://bucket/a b", through) == "http://127.0.0.1:5000/bucket/a%20b"
    assert mirrored("http://host/f", through) == "http://host/f"


def test_a_mirror_is_read_from_the_command_line():
    assert read_mirror(None) is None
    assert read_mirror("http://m/") == "http://m/"
    assert read_mirror('{"s3://": "http://m/"}') == {"s3://": "http://m/"}
    with pytest.raises(ConfigError, match=r"mirror: .*JSON"):
        read_mirror("{s3}")
    with pytest.raises(ConfigError, match="mirror: expected prefixes"):
        read_mirror('{"s3://": 3}')


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({}, "path, url, geo, huggingface, found nothing"),
        ({"geo": {"accession": "276896", "file": "x"}}, "GSE, GSM or GPL"),
        ({"url": "file:///etc/passwd"}, "http:// or s3://"),
    ],
)
def test_other_forms_are_refused(source, words):
    with pytest.raises(ConfigError, match=words):
        address(source)
