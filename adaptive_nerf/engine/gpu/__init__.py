"""The engine on CUDA, in Triton, which comes with torch: compiled at first use, without CUDA's own compiler."""
