/* gc_library.c: a library that programs load and unload; its static data are roots while it is there. */
void *gc_library_slot;
