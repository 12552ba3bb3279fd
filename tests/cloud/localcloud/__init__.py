"""The local cloud: ministack and the parts that it lacks. See ../README.md."""
