# The target dispatch_version: version and git commit of the build (common/version.h). As a script
# (cmake -P), at each build: writes version.cc when what it says is no longer true.
if(CMAKE_SCRIPT_MODE_FILE)
  set(commit "${COMMIT}")
  if(commit STREQUAL "" AND EXISTS ${SOURCE}/.git AND GIT)
    execute_process(
      COMMAND ${GIT} -C ${SOURCE} describe --always --dirty --abbrev=40 --exclude=*
      OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  configure_file(${TEMPLATE} ${OUTPUT} @ONLY)
  return()
endif()

set(DISPATCH_COMMIT "" CACHE STRING "The commit that programs tell; empty: git is asked")
find_program(GIT_PROGRAM git)
set(version_source ${CMAKE_BINARY_DIR}/version/version.cc)
add_custom_target(dispatch_version_source
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DCOMMIT=${DISPATCH_COMMIT}
    -DGIT=$<$<BOOL:${GIT_PROGRAM}>:${GIT_PROGRAM}> -Dversion=${PROJECT_VERSION}
    -DTEMPLATE=${CMAKE_SOURCE_DIR}/cmake/version.cc.in -DOUTPUT=${version_source}
    -P ${CMAKE_CURRENT_LIST_FILE}
  BYPRODUCTS ${version_source}
  COMMENT "")
add_library(dispatch_version STATIC ${version_source})
target_include_directories(dispatch_version PRIVATE ${CMAKE_SOURCE_DIR})
add_dependencies(dispatch_version dispatch_version_source)
if(DISPATCH_BUILD_TESTS)
  add_test(NAME version_test COMMAND ${CMAKE_COMMAND} -P ${CMAKE_CURRENT_LIST_DIR}/version_test.cmake)
  set_tests_properties(version_test PROPERTIES LABELS unit)
endif()
