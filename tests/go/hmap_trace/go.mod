module hmap_trace

go 1.19
