# Switches that change what kind of build this is.

AC_DEFUN([SG_SANITIZERS], [
AC_ARG_ENABLE([sanitizers],
	[AS_HELP_STRING([--enable-sanitizers], [build with AddressSanitizer and UndefinedBehaviorSanitizer; the sandbox tables gain the calls they need])],
	[], [enable_sanitizers=no])
SAN_CFLAGS=
AS_IF([test "$enable_sanitizers" = yes], [
	SAN_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
	AC_DEFINE([WITH_SANITIZERS], [1], [Built with sanitizers.])
])
AC_SUBST([SAN_CFLAGS])
AM_CONDITIONAL([SANITIZERS], [test "$enable_sanitizers" = yes])
])

AC_DEFUN([SG_FUZZ], [
AC_ARG_ENABLE([fuzz],
	[AS_HELP_STRING([--enable-fuzz], [build the fuzz targets with libFuzzer (clang); without it they replay their corpora in make check])],
	[], [enable_fuzz=no])
FUZZ_CFLAGS=
AS_IF([test "$enable_fuzz" = yes], [
	FUZZ_CFLAGS="-fsanitize=fuzzer-no-link"
	FUZZ_LDFLAGS="-fsanitize=fuzzer"
	AC_DEFINE([WITH_FUZZ], [1], [Fuzz targets have libFuzzer's main.])
])
AC_SUBST([FUZZ_CFLAGS])
AC_SUBST([FUZZ_LDFLAGS])
AM_CONDITIONAL([FUZZ], [test "$enable_fuzz" = yes])
])

AC_DEFUN([SG_TRAP], [
AC_ARG_ENABLE([trap],
	[AS_HELP_STRING([--enable-trap], [a denied system call is named on stderr before the process dies (tests only)])],
	[], [enable_trap=no])
AS_IF([test "$enable_trap" = yes],
	[AC_DEFINE([WITH_TRAP], [1], [Denied system calls are named.])])
])

AC_DEFUN([SG_ZSTD], [
AC_ARG_WITH([zstd],
	[AS_HELP_STRING([--without-zstd], [compress with zlib only])],
	[], [with_zstd=check])
sg_compression=zlib
AS_IF([test "$with_zstd" != no], [
	PKG_CHECK_MODULES([ZSTD], [libzstd], [
		sg_compression="zstd, zlib"
		AC_DEFINE([HAVE_ZSTD], [1], [libzstd is there.])
	], [AS_IF([test "$with_zstd" = yes], [AC_MSG_ERROR([libzstd not found])])])
])
])

AC_DEFUN([SG_LANDLOCK], [
AC_CHECK_HEADERS([linux/landlock.h], [sg_landlock=yes], [sg_landlock=no])
])

AC_DEFUN([SG_SYSTEMD_DIRS], [
AC_ARG_WITH([systemdsystemunitdir],
	[AS_HELP_STRING([--with-systemdsystemunitdir=DIR], [systemd units; default LIBDIR-independent PREFIX/lib/systemd/system])],
	[], [with_systemdsystemunitdir='${prefix}/lib/systemd/system'])
AC_SUBST([systemdsystemunitdir], [$with_systemdsystemunitdir])
AC_SUBST([sysusersdir], ['${prefix}/lib/sysusers.d'])
AC_SUBST([tmpfilesdir], ['${prefix}/lib/tmpfiles.d'])
])
