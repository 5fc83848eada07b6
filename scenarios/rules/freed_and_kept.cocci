// SPDX-License-Identifier: MIT
// A member of an object that outlives the function is freed, and a path to a return keeps the
// pointer to it.

@global exists@
global idexpression holder;
expression value;
identifier member;
@@
(
* kfree(holder.member);
|
* kvfree(holder.member);
|
* vfree(holder.member);
)
  ... when != holder.member = value
      when != memset(&holder, ...)
  return ...;

@pointed exists@
expression holder, value;
identifier member;
@@
(
* kfree(holder->member);
|
* kvfree(holder->member);
|
* vfree(holder->member);
)
  ... when != holder->member = value
      when != kfree(holder)
      when != kvfree(holder)
      when != memset(holder, ...)
  return ...;
