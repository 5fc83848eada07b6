// SPDX-License-Identifier: MIT
// A way leads from a declaration to a return of the variable, and nothing has set it. Compilers
// that take an unset value for whichever suits them say nothing of it.

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
