# Writes OUT, a C++ file with page.html as two strings around its data; styles and scripts stand where page.html has
# their marks. Called with -D OUT=, PAGE= (this folder), CHART_JS= and SCRIPTS= (names in their order, with commas).
file(READ ${PAGE}/page.html html)
file(READ ${PAGE}/page.css css)
file(READ ${CHART_JS} chart)
set(scripts "<script>\n${chart}</script>\n")
string(REPLACE "," ";" SCRIPTS "${SCRIPTS}")
foreach(script IN LISTS SCRIPTS)
  file(READ ${PAGE}/${script} text)
  string(APPEND scripts "<script>\n${text}</script>\n")
endforeach()
foreach(mark "<!-- styles -->" "<!-- data -->" "<!-- scripts -->")
  string(FIND "${html}" "${mark}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "${PAGE}/page.html lacks ${mark}")
  endif()
endforeach()
string(REPLACE "<!-- styles -->" "<style>\n${css}</style>" html "${html}")
string(FIND "${html}" "<!-- data -->" at)
string(SUBSTRING "${html}" 0 ${at} before)
math(EXPR at "${at} + 13")
string(SUBSTRING "${html}" ${at} -1 after)
string(REPLACE "<!-- scripts -->" "${scripts}" after "${after}")
file(WRITE ${OUT} "#include \"sim/report/page_bundle.hpp\"

namespace specmoe {
const std::string_view page_before_data = R\"page(${before})page\";
const std::string_view page_after_data = R\"page(${after})page\";
}  // namespace specmoe
")
