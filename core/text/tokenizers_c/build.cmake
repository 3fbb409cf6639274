# cmake -DCARGO=... -DTARGET_DIR=... -DARCHIVE=... -P build.cmake
#
# Builds the crate in this folder in TARGET_DIR and copies the library to ARCHIVE. Other checkouts write the
# same file in TARGET_DIR, so the lock is held until the copy is made.
file(MAKE_DIRECTORY "${TARGET_DIR}")
file(LOCK "${TARGET_DIR}/contexture.lock" GUARD PROCESS RESULT_VARIABLE locked)
if(NOT locked EQUAL 0)
  message(FATAL_ERROR "cannot lock ${TARGET_DIR}/contexture.lock: ${locked}")
endif()
# To cargo, the same crate in another checkout is this one: only a newer time tells it to look at the sources.
file(TOUCH_NOCREATE "${CMAKE_CURRENT_LIST_DIR}/src/lib.rs")
execute_process(COMMAND "${CARGO}" build --release --locked --target-dir "${TARGET_DIR}"
                        --manifest-path "${CMAKE_CURRENT_LIST_DIR}/Cargo.toml"
                RESULT_VARIABLE built)
if(NOT built EQUAL 0)
  message(FATAL_ERROR "cargo could not build the tokenizers crate (${built}). The first build downloads "
                      "the crates of Cargo.lock: cargo needs the network, or a mirror in its configuration")
endif()
file(REMOVE "${ARCHIVE}")
file(COPY_FILE "${TARGET_DIR}/release/libcontexture_tokenizers.a" "${ARCHIVE}")
file(TOUCH "${ARCHIVE}")
