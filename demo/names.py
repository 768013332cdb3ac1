"""Chinese names with their pinyin, drawn roughly as often as they are met."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

# Surname, pinyin, rough share in per mille of the population, with some that are frequent in Shaanxi.
SURNAMES: tuple[tuple[str, str, int], ...] = (
    ("王", "wang", 72), ("李", "li", 72), ("张", "zhang", 68), ("刘", "liu", 54), ("陈", "chen", 45),
    ("杨", "yang", 31), ("赵", "zhao", 23), ("黄", "huang", 22), ("周", "zhou", 21), ("吴", "wu", 20),
    ("徐", "xu", 17), ("孙", "sun", 15), ("胡", "hu", 13), ("朱", "zhu", 13), ("高", "gao", 12),
    ("林", "lin", 12), ("何", "he", 12), ("郭", "guo", 12), ("马", "ma", 11), ("罗", "luo", 9),
    ("梁", "liang", 9), ("宋", "song", 8), ("郑", "zheng", 8), ("谢", "xie", 7), ("韩", "han", 7),
    ("唐", "tang", 7), ("冯", "feng", 7), ("于", "yu", 6), ("董", "dong", 6), ("萧", "xiao", 6),
    ("程", "cheng", 6), ("曹", "cao", 6), ("袁", "yuan", 5), ("邓", "deng", 5), ("许", "xu", 5),
    ("傅", "fu", 5), ("沈", "shen", 5), ("曾", "zeng", 5), ("彭", "peng", 5), ("吕", "lv", 5),
    ("苏", "su", 4), ("卢", "lu", 4), ("蒋", "jiang", 4), ("蔡", "cai", 4), ("贾", "jia", 4),
    ("丁", "ding", 4), ("魏", "wei", 4), ("薛", "xue", 4), ("叶", "ye", 4), ("阎", "yan", 4),
    ("雷", "lei", 3), ("惠", "hui", 2), ("党", "dang", 2), ("屈", "qu", 2), ("司马", "sima", 1),
    ("欧阳", "ouyang", 1),
)  # fmt: skip

# Given names by gender as (characters, pinyin); older people bear the one-character names more often.
MALE: tuple[tuple[str, str], ...] = (
    ("伟", "wei"), ("强", "qiang"), ("磊", "lei"), ("军", "jun"), ("勇", "yong"), ("杰", "jie"), ("涛", "tao"),
    ("明", "ming"), ("超", "chao"), ("斌", "bin"), ("鹏", "peng"), ("辉", "hui"), ("刚", "gang"), ("浩", "hao"),
    ("建国", "jianguo"), ("建华", "jianhua"), ("志强", "zhiqiang"), ("志刚", "zhigang"), ("建军", "jianjun"),
    ("海涛", "haitao"), ("小龙", "xiaolong"), ("文博", "wenbo"), ("子轩", "zixuan"), ("浩然", "haoran"),
    ("宇航", "yuhang"), ("俊杰", "junjie"), ("晓东", "xiaodong"), ("国庆", "guoqing"), ("永红", "yonghong"),
    ("天宇", "tianyu"), ("嘉豪", "jiahao"), ("思远", "siyuan"), ("立新", "lixin"), ("长安", "changan"),
    ("振华", "zhenhua"), ("学军", "xuejun"), ("新民", "xinmin"), ("少波", "shaobo"), ("亚军", "yajun"),
    ("博文", "bowen"),
)  # fmt: skip
FEMALE: tuple[tuple[str, str], ...] = (
    ("芳", "fang"), ("娜", "na"), ("静", "jing"), ("敏", "min"), ("丽", "li"), ("艳", "yan"), ("霞", "xia"),
    ("娟", "juan"), ("燕", "yan"), ("玲", "ling"), ("婷", "ting"), ("雪", "xue"), ("倩", "qian"), ("梅", "mei"),
    ("秀英", "xiuying"), ("桂兰", "guilan"), ("玉兰", "yulan"), ("秀兰", "xiulan"), ("晓燕", "xiaoyan"),
    ("雅静", "yajing"), ("欣怡", "xinyi"), ("梓涵", "zihan"), ("雨桐", "yutong"), ("思雨", "siyu"),
    ("佳怡", "jiayi"), ("红梅", "hongmei"), ("春梅", "chunmei"), ("海燕", "haiyan"), ("晓红", "xiaohong"),
    ("亚楠", "yanan"), ("若曦", "ruoxi"), ("美玲", "meiling"), ("丽娟", "lijuan"), ("淑珍", "shuzhen"),
    ("文静", "wenjing"), ("晨曦", "chenxi"), ("小娟", "xiaojuan"), ("慧敏", "huimin"), ("丹丹", "dandan"),
    ("莎莎", "shasha"),
)  # fmt: skip

# Mail services under the reserved top-level domain `.example` (RFC 2606), so that no letter can ever leave.
MAIL_HOSTS: tuple[tuple[str, int], ...] = (
    ("qq.example", 52), ("163.example", 24), ("126.example", 9), ("foxmail.example", 5), ("sina.example", 5),
    ("outlook.example", 3), ("139.example", 2),
)  # fmt: skip
MOBILE_PREFIXES = (
    "130", "131", "132", "133", "134", "135", "136", "137", "138", "139", "150", "151", "152", "153", "155", "156",
    "157", "158", "159", "176", "177", "178", "180", "181", "182", "183", "185", "186", "187", "188", "189", "199",
)  # fmt: skip


@dataclass(frozen=True)
class Name:
    """A person's name: characters as written (surname first) and the pinyin of both parts."""

    surname: str
    given: str
    surname_pinyin: str
    given_pinyin: str

    def __str__(self) -> str:
        return self.surname + self.given


def draw_name(rng: Random, gender: str) -> Name:
    """A name for `gender` ("male" or "female")."""
    surname, surname_pinyin, _ = rng.choices(SURNAMES, weights=[share for _, _, share in SURNAMES])[0]
    given, given_pinyin = rng.choice(MALE if gender == "male" else FEMALE)
    return Name(surname, given, surname_pinyin, given_pinyin)


def draw_email(rng: Random, name: Name, number: int) -> str:
    """An address in the manner of each service; `number` (unlike for every person) keeps addresses apart."""
    host = rng.choices([host for host, _ in MAIL_HOSTS], weights=[share for _, share in MAIL_HOSTS])[0]
    digits = number * 48_271 % 999_983  # a prime: no two numbers below it fall together
    if host == "qq.example":
        return f"{rng.randrange(10, 9999)}{digits:06d}@{host}"
    if host == "139.example":
        return f"{name.surname_pinyin}.{digits}@{host}"
    style = rng.choice(("{surname}{given}{digits}", "{given}.{surname}{digits}", "{surname}_{given}{digits}"))
    local = style.format(surname=name.surname_pinyin, given=name.given_pinyin, digits=digits)
    return f"{local}@{host}"


def draw_phone(rng: Random, number: int) -> str:
    """A mobile number of valid form in the 0000 block of a prefix, where no one lives; 10,000 numbers are unlike."""
    return f"{rng.choice(MOBILE_PREFIXES)}0000{number * 7919 % 10_000:04d}"
