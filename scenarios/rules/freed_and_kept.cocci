// SPDX-License-Identifier: MIT
// What outlives the function is freed, and on a way out the pointer to it is left as it was.

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
