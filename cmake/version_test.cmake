# cmake -P: that version.cc tells what is given, is empty without git, and is left alone when it is
# right already, since a newer one means links.
set(work ${CMAKE_CURRENT_BINARY_DIR}/version_test)
file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${work})
function(generate commit expected)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${work} -DCOMMIT=${commit} -DGIT=git -Dversion=1.2.3
      -DTEMPLATE=${CMAKE_CURRENT_LIST_DIR}/version.cc.in -DOUTPUT=${work}/version.cc
      -P ${CMAKE_CURRENT_LIST_DIR}/Version.cmake
    COMMAND_ERROR_IS_FATAL ANY)
  file(READ ${work}/version.cc text)
  foreach(part "BuildVersion() { return \"1.2.3\"; }" "BuildCommit() { return \"${expected}\"; }")
    string(FIND "${text}" "${part}" place)
    if(place EQUAL -1)
      message(FATAL_ERROR "no ${part} in\n${text}")
    endif()
  endforeach()
endfunction()

generate("" "")
generate("abc" "abc")
file(TOUCH ${work}/between)
generate("abc" "abc")
if(${work}/version.cc IS_NEWER_THAN ${work}/between)
  file(TIMESTAMP ${work}/version.cc written "%s")
  file(TIMESTAMP ${work}/between between "%s")
  if(written GREATER between)
    message(FATAL_ERROR "version.cc was written again")
  endif()
endif()
file(REMOVE_RECURSE ${work})
