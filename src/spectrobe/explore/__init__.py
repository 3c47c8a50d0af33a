"""The live page: one photo at a time, bands switched on and off, and what the model makes of it.

`session` holds a model and a data set, `looking` and `profiling` answer questions about them, without any web server;
`server` puts that on 127.0.0.1, and `page/` is what a browser shows.
"""
