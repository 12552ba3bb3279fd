"""The local cloud: ministack, with what it lacks supplied here. See ../README.md."""
