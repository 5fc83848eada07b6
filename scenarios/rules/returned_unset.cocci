// SPDX-License-Identifier: MIT
// A path leads from the declaration of a variable to its return, and no statement on it sets the
// variable. Compilers do not warn if their optimisation assumes a value for it.

@unset disable decl_init exists@
type kind;
identifier value;
expression set;
statement loop;
@@
  kind value;
  ... when != value = set
      when != &value
      when != for (;;) loop
* return value;
