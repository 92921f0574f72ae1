# Switches of the calling context (mlopt.flags), for the modules that obey them.

# Whether "auto" may take Strassen's product.  Needs the GIL; costs nothing until mlopt.flags was first used.
cdef bint strassen_allowed() except -1
