# SG_TRY_FLAG(VARIABLE, FLAG): append FLAG when the compiler and linker take it.
AC_DEFUN([SG_TRY_FLAG], [
AC_MSG_CHECKING([whether $CC takes $2])
sg_save_CFLAGS=$CFLAGS
CFLAGS="$CFLAGS -Werror $2"
AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdio.h>]], [[puts("");]])],
	[AC_MSG_RESULT([yes]); $1="$$1 $2"], [AC_MSG_RESULT([no])])
CFLAGS=$sg_save_CFLAGS
])

AC_DEFUN([SG_WARNINGS], [
WARN_CFLAGS="-Wall -Wextra"
SG_TRY_FLAG([WARN_CFLAGS], [-Wshadow])
SG_TRY_FLAG([WARN_CFLAGS], [-Wstrict-prototypes])
SG_TRY_FLAG([WARN_CFLAGS], [-Wmissing-prototypes])
SG_TRY_FLAG([WARN_CFLAGS], [-Wformat=2])
SG_TRY_FLAG([WARN_CFLAGS], [-Wvla])
SG_TRY_FLAG([WARN_CFLAGS], [-Wwrite-strings])
SG_TRY_FLAG([WARN_CFLAGS], [-Wtrampolines])
SG_TRY_FLAG([WARN_CFLAGS], [-Wpointer-arith])
AC_ARG_ENABLE([werror],
	[AS_HELP_STRING([--enable-werror], [warnings are errors (for development and CI)])],
	[], [enable_werror=no])
AS_IF([test "$enable_werror" = yes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
AC_SUBST([WARN_CFLAGS])
])

# On by default; --disable-hardening is for debugging the compiler's output only.
AC_DEFUN([SG_HARDENING], [
AC_ARG_ENABLE([hardening],
	[AS_HELP_STRING([--disable-hardening], [leave out the hardening flags])],
	[], [enable_hardening=yes])
HARD_CFLAGS=
HARD_LDFLAGS=
AS_IF([test "$enable_hardening" = yes], [
	SG_TRY_FLAG([HARD_CFLAGS], [-fPIE])
	SG_TRY_FLAG([HARD_CFLAGS], [-fstack-protector-strong])
	SG_TRY_FLAG([HARD_CFLAGS], [-fstack-clash-protection])
	SG_TRY_FLAG([HARD_CFLAGS], [-fcf-protection=full])
	SG_TRY_FLAG([HARD_CFLAGS], [-ftrivial-auto-var-init=zero])
	SG_TRY_FLAG([HARD_CFLAGS], [-fzero-call-used-regs=used-gpr])
	SG_TRY_FLAG([HARD_CFLAGS], [-fstrict-flex-arrays=3])
	SG_TRY_FLAG([HARD_CFLAGS], [-fno-strict-overflow])
	SG_TRY_FLAG([HARD_CFLAGS], [-fno-strict-aliasing])
	SG_TRY_FLAG([HARD_CFLAGS], [-fno-delete-null-pointer-checks])
	AS_IF([test "$enable_sanitizers" = no],
		[HARD_CFLAGS="$HARD_CFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3"])
	SG_TRY_FLAG([HARD_LDFLAGS], [-pie])
	SG_TRY_FLAG([HARD_LDFLAGS], [-Wl,-z,relro])
	SG_TRY_FLAG([HARD_LDFLAGS], [-Wl,-z,now])
	SG_TRY_FLAG([HARD_LDFLAGS], [-Wl,-z,noexecstack])
	SG_TRY_FLAG([HARD_LDFLAGS], [-Wl,-z,separate-code])
	SG_TRY_FLAG([HARD_LDFLAGS], [-Wl,-z,nodlopen])
	SG_TRY_FLAG([HARD_LDFLAGS], [-Wl,-z,ibt,-z,shstk])
])
AC_SUBST([HARD_CFLAGS])
AC_SUBST([HARD_LDFLAGS])
])
