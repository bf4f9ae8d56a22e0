"""Inference engines: ways of running a network, all held to eager PyTorch by one contract.

This room stands beside `nets`, not in it: a network says what is computed and stays pure torch, an engine says by
which machinery, and may need OpenVINO, a cache folder or no torch at all. It imports `nets` and errors only.
"""
