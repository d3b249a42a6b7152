# What Doxygen reads of a header: the comment at its top is the file's, and one behind a member is the member's. What is
# indented in the former, layouts of files, stays as it is. A line stays a line, so that warnings name the right one; only
# @file takes one, for which `#pragma once` makes room.
NR == 1 { top = /^\/\/ /; if (top) print "/// @file" }
top && /^#pragma once/ { if (verbatim) print "/// @endverbatim"; top = verbatim = 0; next }
top && /^\/\// {
  text = substr($0, 3)
  indented = text ~ /^   /
  if (indented != verbatim) text = (indented ? " @verbatim" : " @endverbatim") text
  verbatim = indented
  print "///" text
  next
}
match($0, /^ ? ?[^ \/].*[;,}] +\/\/ /) { print substr($0, 1, RLENGTH - 3) "///< " substr($0, RLENGTH + 1); next }
{ print }
