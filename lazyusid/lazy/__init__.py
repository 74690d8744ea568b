"""Sources as dask arrays: the only room that imports dask, and only once an array is made."""
