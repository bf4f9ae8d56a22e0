"""Inference engines, which run a network and agree with eager PyTorch within the tolerances of one contract.

This folder is separate from `nets`: a network is pure torch and defines the computation, an engine performs it, and
may need OpenVINO, a cache folder or no torch at all. It imports only `nets`, types and errors.
"""
