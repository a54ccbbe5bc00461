"""Benchmarks run on the servers and implementations that the properties run on."""

from properties.conftest import (  # noqa: F401
    client,
    cluster,
    implementation,
    instrumented,
    postgres,
    pytest_addoption,
    pytest_configure,
    release,
    workdir,
)
